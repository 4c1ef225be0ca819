"""Importers: public and hospital archives on disk -> one record an image, one file a source."""
