"""Everything that can go wrong in the service, as one tree.

* HeroServiceError
  - BadInput ............... what the user (or a request) said cannot be done
    · SettingsInvalid ...... a setting is missing or contradicts another
    · RunNotFound .......... no run with that id
    · RunAmbiguous ......... several runs begin with that id
    · WrongState ........... the run's state does not allow this
    · ProjectTaken ......... a project of Label Studio is another run's
    · NotEnoughFeedback .... an epoch cannot be closed yet
    · NothingToExport ...... the run has nothing of that kind yet
    · TargetUnusable ....... an export cannot be written there
    · BadWebhook ........... a request that is no webhook of Label Studio
    · WrongMediaType ....... a request that changes something and is not JSON
    · BodyTooLarge ......... a request with more in it than we take
    · NotAuthorized ........ a request without the secret or the password
    · NotAllowed ........... somebody who may look at the run pages asks for more
    · ForeignPage .......... a page of another site sent it, not Label Studio or a page of ours
    · TooManyAttempts ...... wrong passwords from one address, too many
  - LabelStudioError ....... Label Studio did not do what was asked
    · LabelStudioUnreachable nothing answers, or it is in trouble
    · NotLabelStudio ....... something else answers at that address
    · RequestTooLarge ...... something before it takes no request of that size
    · TokenRefused ......... the token is wrong, of the wrong kind, or expired
    · PrivateAddressRefused  Label Studio does not talk to private addresses
    · BackendUnreachable ... Label Studio cannot reach this backend
    · ProjectGone .......... the run's project was deleted
    · LabelConfigUnusable .. the project's labelling page lacks a control
    · LabelStudioRefused ... it did not let somebody in, or did not take a label
    · LabelStudioDidNotStart the server that `hero up` starts did not come up
  - StoreError
    · DatabaseUnavailable .. the database cannot be opened
    · RunChanged ........... somebody else changed the run first (read again)
    · LeaseLost ............ this worker no longer holds the run (drop the step)
  - RunNotStarted .......... a page could not start a run
  - PushFailed ............. the model hub did not take what was sent
  - DiskFull ............... no space left; nothing half-written was kept
  - ImageUnresolvable ...... Label Studio could not see a run's images
  - PortInUse .............. another program listens there
  - AlreadyRunning ......... `hero up` or the demo runs on this home folder
  - ProcessDied ............ a process of `hero up` keeps dying
  - DemoFailed ............. the demo's circle did not close
  - EngineFailed ........... the engine could not carry out a step
    · FilesDamaged ......... a batch, a checkpoint or a report is not what was written
    · ProcessUnready ....... some of the processes of a step lack what it takes
    · ProcessLost .......... a process of a step has ended before the step was done

Each message is one sentence: what was tried, why it failed, what to do. `exit_status` is the
command line's answer, `http_status` the server's. What becomes of a worker's step says
`backend/outcomes.py`.
"""


class HeroServiceError(Exception):
    """Base of everything the service raises on purpose."""

    exit_status = 1
    http_status = 500


class BadInput(HeroServiceError):
    """Ask for something else: nothing was changed."""

    exit_status = 2
    http_status = 400


class SettingsInvalid(BadInput):
    """Correct the named setting."""

    http_status = 500


class RunNotFound(BadInput):
    """Use an id that `hero runs` lists."""

    http_status = 404


class RunAmbiguous(BadInput):
    """Give more letters of the id."""

    http_status = 409


class WrongState(BadInput):
    """Look at the run's state; the message names what it does allow."""

    http_status = 409


class ProjectTaken(BadInput):
    """Let the run have a project of its own."""

    http_status = 409


class NotEnoughFeedback(BadInput):
    """Label a little more, then advance."""

    http_status = 409


class NothingToExport(BadInput):
    """Let the run get further, then export again."""

    http_status = 409


class TargetUnusable(BadInput):
    """Choose another place, or say that what is there may be replaced."""


class BadWebhook(BadInput):
    """Send what Label Studio sends: JSON with an action and a project."""


class WrongMediaType(BadInput):
    """Send JSON, and say so."""

    http_status = 415


class BodyTooLarge(BadInput):
    """Send less at once."""

    http_status = 413


class ForeignPage(BadInput):
    """Send it from Label Studio or from a run page."""

    http_status = 403


class NotAllowed(BadInput):
    """Come by a link of `hero link`."""

    http_status = 403


class TooManyAttempts(BadInput):
    """Wait, then use the right password."""

    http_status = 429


class NotAuthorized(BadInput):
    """Send the webhook secret or the Basic auth user and password."""

    http_status = 401


class LabelStudioError(HeroServiceError):
    """Label Studio refused or failed; the message carries its own words."""

    http_status = 502


class LabelStudioUnreachable(LabelStudioError):
    """Start Label Studio or correct its address."""

    retry_after: float = 0.0
    """Seconds before which it asked not to be asked again."""


class RequestTooLarge(LabelStudioError):
    """Let the proxy before Label Studio take larger requests."""


class NotLabelStudio(LabelStudioError):
    """Correct LABEL_STUDIO_URL."""

    exit_status = 2


class TokenRefused(LabelStudioError):
    """Set LABEL_STUDIO_API_KEY to a token that Label Studio takes."""

    exit_status = 2


class PrivateAddressRefused(LabelStudioError):
    """Allow private addresses in Label Studio, or give this backend a public one."""


class BackendUnreachable(LabelStudioError):
    """Start the backend, or set HERO_URL to the address at which Label Studio sees it."""


class ProjectGone(LabelStudioError):
    """Resume the run, for a new project with its present epoch, or stop it."""


class LabelConfigUnusable(LabelStudioError):
    """Put the named control back into the project's labelling configuration."""


class LabelStudioRefused(LabelStudioError):
    """Check the account; the message carries what Label Studio answered."""


class LabelStudioDidNotStart(LabelStudioError):
    """Read the end of its log, which the message shows."""


class StoreError(HeroServiceError):
    """The database did not take a change; nothing was changed."""


class DatabaseUnavailable(StoreError):
    """Correct HERO_DATABASE_URL, or start the database."""

    http_status = 503


class RunChanged(StoreError):
    """Read the run again and decide again."""

    http_status = 409


class LeaseLost(StoreError):
    """Drop the step: the run was paused, stopped, or taken by another worker."""


class RunNotStarted(HeroServiceError):
    """Do what the message says: it is of the process that checked everything."""

    def __init__(self, said: str, status: int = 500) -> None:
        super().__init__(said)
        self.http_status = status


class PushFailed(HeroServiceError):
    """Do what the message says, and push again: nothing was added on the hub."""

    http_status = 502


class DiskFull(HeroServiceError):
    """Free space: the run then goes on by itself."""

    http_status = 507


class ImageUnresolvable(HeroServiceError):
    """Put the images where Label Studio may read them, or use signed URLs."""

    exit_status = 2


class PortInUse(HeroServiceError):
    """Choose another port."""


class AlreadyRunning(BadInput):
    """End the other one, or use another home folder."""


class ProcessDied(HeroServiceError):
    """Read the end of its log, which the message shows."""


class DemoFailed(HeroServiceError):
    """Read the message; start the demo again to go on."""


class EngineFailed(HeroServiceError):
    """Read the message: it is the engine's own."""


class FilesDamaged(EngineFailed):
    """Let `hero repair` make again what can be made again."""


class ProcessUnready(EngineFailed):
    """Give the process that is named what the first one has."""


class ProcessLost(EngineFailed):
    """The step is done again: nothing half-written was kept."""
