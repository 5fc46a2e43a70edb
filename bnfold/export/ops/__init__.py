"""Lowerings, one small file per family of ops; `bnfold.export.table` imports every module here."""
