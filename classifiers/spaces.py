"""The spaces of the heads' hyper-parameters, in Hyperas' template language. The only file that knows Hyperas.

Hyperas' own template compiler turns them into hyperopt's spaces. Its driver is left out: it writes `temp_model.py` into the
working directory, where searches side by side run one another's model, and hands hyperopt a random state that it no longer
takes. The compiled source is executed in memory instead, as a module named by its hash.
"""

# No `from __future__` import here: Hyperas' compiler copies this file's imports to the middle of its output.
# Templates must not hold braces, hence calls of dict.
# ruff: noqa: C408
import functools
import hashlib
import sys
import types


# fmt: off
# Rules of the template language: a name before each template, no two templates alike, no braces inside one,
# and in the function no comment, f-string or import over several lines.
# The map is averaged before the first convolution for speed.
def categorical_space():
    from hyperas.distributions import choice, loguniform, uniform

    n_convolutions = {{choice([1, 2, 3])}}
    filters = {{choice([16, 32, 48])}}
    kernel_frequency = {{choice([3, 5])}}
    kernel_time = {{choice([1, 3])}}
    resolution = {{choice([
        dict(input_pool_frequency=2, stride_frequency=2),
        dict(input_pool_frequency=4, stride_frequency=2),
        dict(input_pool_frequency=8, stride_frequency=1)])}}
    pooling = {{choice(["global_mean_max", "mean_max_time", "mean_time"])}}
    input_dropout = {{choice([0.0, 0.1])}}
    dropout = {{uniform(0.2, 0.6)}}
    weight_decay = {{choice([0.0, 0.03])}}
    dense = {{choice([
        dict(dense_units=0),
        dict(dense_units=choice("dense_units", [32, 64, 128]), dense_dropout=uniform("dense_dropout", 0.0, 0.5))])}}
    optimizer = {{choice([
        dict(optimizer="adam", learning_rate=loguniform("adam_learning_rate", -8.0, -6.0)),
        dict(optimizer="rmsprop", learning_rate=loguniform("rmsprop_learning_rate", -8.5, -6.5)),
        dict(optimizer="sgd", learning_rate=loguniform("sgd_learning_rate", -6.5, -4.0),
             momentum=uniform("sgd_momentum", 0.5, 0.95))])}}
    batch_size = {{choice([32, 64])}}
    return dict(n_convolutions=n_convolutions, filters=filters, kernel_frequency=kernel_frequency,
                kernel_time=kernel_time, pooling=pooling, input_dropout=input_dropout, dropout=dropout,
                weight_decay=weight_decay, batch_size=batch_size, **resolution, **dense, **optimizer)


def dimensional_space():
    from hyperas.distributions import choice, loguniform, uniform

    n_convolutions = {{choice([1, 2, 3])}}
    filters = {{choice([16, 32, 48])}}
    kernel_frequency = {{choice([3, 5])}}
    kernel_time = {{choice([1, 3])}}
    resolution = {{choice([
        dict(input_pool_frequency=4, stride_frequency=2),
        dict(input_pool_frequency=8, stride_frequency=1)])}}
    pooling = {{choice(["global_mean_max", "mean_max_time", "mean_time"])}}
    dropout = {{uniform(0.1, 0.6)}}
    loss_function = {{choice(["mae", "mse", "ccc"])}}
    dense = {{choice([
        dict(dense_units=0),
        dict(dense_units=choice("dense_units", [32, 64, 128]), dense_dropout=uniform("dense_dropout", 0.0, 0.5))])}}
    optimizer = {{choice([
        dict(optimizer="adam", learning_rate=loguniform("adam_learning_rate", -9.0, -6.5)),
        dict(optimizer="sgd", learning_rate=loguniform("sgd_learning_rate", -7.5, -4.5),
             momentum=uniform("sgd_momentum", 0.5, 0.95))])}}
    batch_size = {{choice([64, 128])}}
    return dict(n_convolutions=n_convolutions, filters=filters, kernel_frequency=kernel_frequency,
                kernel_time=kernel_time, pooling=pooling, dropout=dropout, loss_function=loss_function,
                batch_size=batch_size, **resolution, **dense, **optimizer)


# A head on the statistics of whole utterances: what it reads depends on the corpus. Means and the first block alone tell the
# emotions of one known speaker apart; on unknown speakers they mislead.
def categorical_utterance_space():
    from hyperas.distributions import choice, uniform

    statistics = {{choice(["spread", "spread_mean"])}}
    reads = {{choice([
        dict(blocks="all", correlations="components"),
        dict(blocks="first", correlations="components"),
        dict(blocks="all", correlations="none"),
        dict(blocks="first", correlations="none")])}}
    layer = {{choice([
        dict(n_convolutions=1, filters=choice("filters", [48, 96]), kernel_frequency=choice("kernel_frequency", [5, 8])),
        dict(n_convolutions=0)])}}
    input_dropout = {{uniform(0.0, 0.4)}}
    dropout = {{uniform(0.3, 0.7)}}
    weight_decay = {{choice([0.01, 0.03, 0.1])}}
    n_steps = {{choice([400, 1000])}}
    return dict(statistics=statistics, input_dropout=input_dropout, dropout=dropout, weight_decay=weight_decay,
                n_steps=n_steps, **reads, **layer)


def dimensional_utterance_space():
    from hyperas.distributions import choice, uniform

    statistics = {{choice(["spread", "spread_mean"])}}
    reads = {{choice([
        dict(blocks="all", correlations="components"),
        dict(blocks="first", correlations="components"),
        dict(blocks="all", correlations="none"),
        dict(blocks="first", correlations="none")])}}
    layer = {{choice([
        dict(n_convolutions=1, filters=choice("filters", [48, 96]), kernel_frequency=choice("kernel_frequency", [5, 8])),
        dict(n_convolutions=0)])}}
    input_dropout = {{uniform(0.0, 0.4)}}
    dropout = {{uniform(0.3, 0.7)}}
    weight_decay = {{choice([0.01, 0.03, 0.1])}}
    n_steps = {{choice([400, 1000])}}
    loss_function = {{choice(["mae", "mse", "ccc"])}}
    return dict(statistics=statistics, input_dropout=input_dropout, dropout=dropout, weight_decay=weight_decay,
                n_steps=n_steps, loss_function=loss_function, **reads, **layer)


# fmt: on


def no_data():
    return None


SPACES = {
    ("second", "categorical"): categorical_space,
    ("second", "dimensional"): dimensional_space,
    ("utterance", "categorical"): categorical_utterance_space,
    ("utterance", "dimensional"): dimensional_utterance_space,
}
"""(Kind, task) of a head -> its space."""

_UNKNOWN_SPEAKERS = {
    "statistics": 0,
    "reads": 0,
    "layer": 0,
    "filters": 1,
    "kernel_frequency": 0,
    "input_dropout": 0.2,
    "dropout": 0.5,
    "weight_decay": 0,
    "n_steps": 1,
}
_ONE_SPEAKER = {**_UNKNOWN_SPEAKERS, "statistics": 1, "reads": 1}
FIRST_POINTS: dict[tuple[str, str], list[dict[str, float]]] = {
    ("utterance", "categorical"): [_UNKNOWN_SPEAKERS, _ONE_SPEAKER],
    ("utterance", "dimensional"): [{**point, "loss_function": 2} for point in (_UNKNOWN_SPEAKERS, _ONE_SPEAKER)],
}
"""Points of a space that every search tries first, by hyperopt's labels; of a choice, the number of the option.

Twenty trials see few of the combinations of a space: these two are what did well on speakers of EmoDB, and on one speaker of
SAVEE alone, before there was a search. The first is the default head.
"""


@functools.cache
def compile_space(kind: str, task: str) -> types.ModuleType:
    """A space as Hyperas compiles it: `get_space()` is hyperopt's space, `keras_fmin_fnct(point)` a point's parameters.

    The module's name holds the hash of its source; the source stays in memory.
    """
    import keras

    keras.models.model_from_yaml = None  # Hyperas imports it and needs it only for voting ensembles
    search_path = list(sys.path)
    try:
        from hyperas import optim
    finally:
        sys.path[:] = search_path  # Hyperas appends the working directory, from which nothing should be imported
        del keras.models.model_from_yaml
    source = optim.get_hyperopt_model_string(SPACES[kind, task], no_data, None, None, False, 1)
    module = types.ModuleType(f"hyperas_space_{hashlib.sha256(source.encode()).hexdigest()[:16]}")
    exec(compile(source, module.__name__, "exec"), module.__dict__)  # our own templates, no data
    return module
