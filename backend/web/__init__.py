"""The process that Label Studio and browsers talk to."""
