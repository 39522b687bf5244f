from test_s3_answers import told

__all__ = ["told"]
