"""What can go wrong in the engine, as a tree that a caller can act on.

    HeroError
    ├── ConfigError        a field of the configuration cannot be used: change the field
    ├── ModelNotFound      no diffusers pipeline at that path or hub id: correct it or download it
    ├── UnsupportedModel   a pipeline, but not of a kind that can be fine-tuned: choose another
    ├── UnusableImages     what was drawn is no images: nothing is published, see the sentence
    ├── FeedbackError      the feedback is not of this batch: send the right one, nothing changed
    ├── NoiseBankEmpty     noises round good images were asked for before any image was called good
    ├── CheckpointError    a checkpoint on disk does not fit the run, or is too new
    │   └── DamagedFiles   a checkpoint or a batch on disk is missing or damaged
    ├── StorageError       the disk refused a write; what was there before still is
    ├── TooLittleMemory    GPU or CPU memory does not suffice; the sentence names what takes less
    ├── RatioError         the update would not start from the policy that drew the batch
    ├── ProcessUnready     some of several processes have not what a step needs: see which, and what
    ├── ProcessLost        one of several processes has ended: do the step again, nothing was kept
    ├── ProcessesDiffer    several processes came to different results: nothing was kept
    └── RewardError        a reward gave something else than one number an image: mend the reward

Every message is one sentence that says what was tried, why it failed and what to do next.
"""


class HeroError(Exception):
    """Base of every error that the engine raises on purpose."""


class ConfigError(HeroError):
    """A field of the configuration cannot be used."""


class ModelNotFound(HeroError):
    """No diffusers pipeline could be loaded from the given path or hub id."""


class UnsupportedModel(HeroError):
    """The pipeline exists, but the engine does not know how to fine-tune it."""


class UnusableImages(HeroError):
    """What the model drew is not finite, or of one colour; weights or precision are wrong."""


class FeedbackError(HeroError):
    """The feedback does not fit the batch or the run; the run is unchanged."""


class NoiseBankEmpty(HeroError):
    """Noises round good images were asked for, and no image has been called good yet."""


class CheckpointError(HeroError):
    """A checkpoint or a saved batch cannot be used by this run, or by this version."""


class DamagedFiles(CheckpointError):
    """A checkpoint or a saved batch is missing, or is not what was written."""


class StorageError(HeroError):
    """The disk refused a write; nothing half-written stands under the final name."""


class TooLittleMemory(HeroError):
    """An allocator refused; what is stored of the run is as it was."""


class RatioError(HeroError):
    """The importance ratio before the first update is not 1: the policy has changed since the
    batch was drawn, or sampler and update disagree."""


class ProcessUnready(HeroError):
    """Some of the processes of a step have not what it needs, before anything was done."""


class ProcessLost(HeroError):
    """A process of a step has ended, and the others cannot go on without it."""


class ProcessesDiffer(HeroError):
    """The processes of a step did not come to the same result."""


class RewardError(HeroError):
    """A reward function gave something else than one finite number an image."""
