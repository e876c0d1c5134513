"""What a request shows to be let in, in tests."""

import base64

JSON = "application/json"
SECRET = {"X-Hero-Secret": "the secret"}


def basic(user: str = "hero", password: str = "open sesame") -> dict[str, str]:
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}
