"""Every stored column once: type, unit, sign, sentence; the data sets made of them; the same as Arrow schemas."""
