"""What Flower learns about beat; loaded by its own configuration file, `config.py`."""
