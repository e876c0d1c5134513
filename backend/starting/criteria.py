"""What makes an image good, in the words that the paper's annotators were given (Appendix C)."""

_BY_PROMPT = {
    "1 hand": (
        "A hand has exactly five fingers with exactly one thumb, and the pose is physically "
        "feasible."
    ),
    "photo of one blue rose in a vase": (
        "The generated subject is a rose and has the correct color (blue), count (one), and "
        "context (inside a vase)."
    ),
    "a black cat sitting inside a cardboard box": (
        "A single cat with the correct color (black) and action (sitting inside a box) is "
        "generated. The cat's pose is feasible, with no parts of the body penetrating the box. "
        "The cardboard is shaped like a functional box."
    ),
    "narcissus by a quiet spring and its reflection in the water": (
        "The image correctly captures the narcissus flower, rather than the mythological figure, "
        "as the subject. Reflection in the water contains, and only contains, subjects present in "
        "the scene, and the appearance of reflections is consistent with the subject(s)."
    ),
    "beautiful mountains viewed from a train window": (
        "View of the mountains is from a train window. The body of the train the mountain is seen "
        "from is not in the view. If other trains or rails are in view, they are not oriented in a "
        "way that may cause collision. Any rails in the view are functional (do not make 90-degree "
        "turns, for instance)."
    ),
}
"""Success condition by prompt of the paper's tasks, which are the presets'."""


def default_criteria(prompt: str) -> str:
    """The paper's success condition where the prompt is one of its tasks'; empty for any other."""
    return _BY_PROMPT.get(" ".join(prompt.split()), "")
