"""From Label Studio's annotations to rows."""
