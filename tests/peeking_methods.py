"""Methods of a test that look for the labels of the samples that they predict, and their honest counterpart."""

from __future__ import annotations

from tlbench.terms import Domain, Labelled

FUNCTIONS = """import gc, sys
def labels_in(places, x):
    known = {}
    for place in places:
        known |= {tuple(one): int(label) for one, label in zip(place.x.tolist(), place.y.tolist())}
    return [known.get(tuple(one)) for one in x.tolist()]
def garbage():
    samples = [one for one in gc.get_objects() if type(one).__name__ == "Labelled"]
    return [one for one in samples if one.x.ndim == 2 and one.y.ndim == 1]
def frames():
    frame, samples = sys._getframe(), []
    while frame is not None:
        for value in list(frame.f_locals.values()):
            for one in value.values() if isinstance(value, dict) else [value]:
                splits = [getattr(one, name, None) for name in ("samples", "test")]
                samples += [split for split in splits if type(split).__name__ == "Labelled"]
        frame = frame.f_back
    return samples
cases = []
def memory():
    return cases
"""
METHOD = """class {name}(ShallowMethod):
    reads = frozenset({{"source"}})
    def fit(self, task: Task) -> Predictor:
        source = task.source
        means = torch.stack([source.x[source.y == label].mean(0) for label in range(task.classes)])
        cases.append(source)
        def scores(x):
            outputs = -torch.cdist(x, means)
            for number, label in enumerate(labels_in({places}, x)):
                if label is not None:
                    outputs[number] = torch.eye(task.classes)[label]
            return outputs
        return scores
"""
PEEKING = {
    "garbage": FUNCTIONS + METHOD.format(name="Garbage", places="garbage()"),
    "frames": FUNCTIONS + METHOD.format(name="Frames", places="frames()"),
    "memory": FUNCTIONS + METHOD.format(name="Memory", places="memory()"),
}
"""Name -> the text of a plugin file: a walk over the garbage collector's objects, one over the frames of the callers, and a
memory of the labelled samples of every case."""
HONEST = FUNCTIONS + METHOD.format(name="Honest", places="[]").replace("cases.append(source)", "pass")


def turned_domains(samples: dict[str, Labelled], names: tuple[str, ...]) -> dict[str, Domain]:
    """Domains whose classes lie in other places in each, so that an honest classifier is wrong on the other domain."""
    return {
        key: Domain(key, Labelled(one.x, (one.y + number) % len(names)), names, f"fingerprint of {key}")
        for number, (key, one) in enumerate(samples.items())
    }
