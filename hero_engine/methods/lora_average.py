"""A moving average of the LoRA over optimizer steps: the model that is given away.

Batches are always drawn by the LoRA that is trained. Their log-probabilities are the denominator of
the importance ratio, which has to be 1 before the first step of an update.
"""

import torch
from torch import Tensor


class LoraAverage:
    """mean <- decay mean + (1 - decay) parameter, after every step of the optimizers it follows.

    The matrices A and B are averaged each for itself, as is usual for LoRA; the average of their
    products would not be a LoRA of the same rank.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.begin()

    def begin(self) -> None:
        """Forget what was before the parameters as they are."""
        self.means = [parameter.detach().clone() for parameter in self.parameters]

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Take in what each of its steps makes of the parameters."""
        optimizer.register_step_post_hook(lambda *_: self.take_in())

    @torch.no_grad()
    def take_in(self) -> None:
        """Move towards the parameters as they are."""
        torch._foreach_lerp_(self.means, self.parameters, 1.0 - self.decay)

    def tensors(self) -> dict[str, Tensor]:
        """A copy of the average, by the number of the parameter."""
        return {str(number): mean.clone() for number, mean in enumerate(self.means)}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        for number, mean in enumerate(self.means):
            mean.copy_(tensors[str(number)])
