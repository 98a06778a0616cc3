# One image for every Airflow component and for the simulated gateway.
FROM python:3.12-slim

RUN useradd --create-home --uid 50000 airflow && mkdir -p /opt/airflow/logs /srv/opt_data \
    && chown -R airflow /opt/airflow /srv/opt_data
WORKDIR /opt/opt_data
COPY requirements.txt requirements-docker.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-docker.txt
COPY pyproject.toml README.md LICENSE ./
COPY plugins plugins
COPY dags dags
COPY include include
COPY tools tools
# For the entry point that tells Airflow of the connection type; the code itself is used where it lies.
RUN pip install --no-cache-dir --no-deps --editable .

ENV AIRFLOW_HOME=/opt/airflow \
    OPT_DATA_PROJECT_ROOT=/opt/opt_data \
    PYTHONPATH=/opt/opt_data/plugins:/opt/opt_data \
    PYTHONUNBUFFERED=1
USER airflow
