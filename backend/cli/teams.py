"""Working together: the way in for others."""

from typing import Annotated

import typer

from backend.cli.shared import TEAM, app, out
from backend.errors import BadInput
from backend.settings import Settings


@app.command(rich_help_panel=TEAM)
def invite(
    emails: Annotated[
        list[str],
        typer.Argument(metavar="EMAIL...", help="E-mail addresses of the people to invite."),
    ],
) -> None:
    """Show the link with which other people join your Label Studio."""
    from backend.label_studio import Gateway

    wrong = [email for email in emails if "@" not in email.strip("@")]
    if wrong:
        raise BadInput(f"Cannot invite {wrong[0]!r}: it is no e-mail address.")
    gateway = Gateway(Settings.load())
    members = {address.lower() for address in gateway.emails().values()}
    there = [email for email in emails if email.lower() in members]
    new = [email for email in emails if email.lower() not in members]
    for email in there:
        out.print(f"{email} is a member already.", markup=False)
    if not new:
        return
    link = gateway.invitation()
    out.print(f"Send this link to {', '.join(new)} (Label Studio sends no e-mail itself):\n")
    out.print(f"  {link}\n", markup=False, soft_wrap=True)
    out.print(
        "Whoever opens it chooses a password, with that e-mail address, and sees the projects. The "
        "link lets in anybody who has it, until it is reset in Label Studio under Organization > "
        "Add People > Reset Link."
    )
