"""The card beside a pre-trained encoder: what it learned from, how long, how far it came, and what it is not for."""

from pathlib import Path

from began.component_analysis import N_RECORDINGS
from began.files import sha256_of, write_text
from began.keras_file import read_attached_json
from began.network_file import load_network
from experiments.evaluation.result_files import read_json, read_table
from experiments.reporting.markdown import escape

CARD = """# Encoder `{name}`

The encoder of {model} trained without labels on {corpus} spectrograms, to be used frozen (paper, section 2.3).

| | |
|---|---|
| file | `encoder.keras`, {megabytes:.1f} MB, {n_weights:,} weights |
| SHA-256 | `{sha256}` |
| data | {n_utterances} utterances of {corpus}{synthetic}{speech}, 16 kHz |
| input | 1-s chunks, {magnitude} magnitude, (512, 32, 1); settings inside the file (`spectrogram.json`) |
| networks | n = {base_filters}, h = {latent_size} |
| training | {balance}Adam {learning_rate:g}, batch {batch_size}{noise}, seed {seed}{precision} |
| length | {epochs_done:g} of {epochs} epochs, {steps} steps{unfinished} |
| {measure} | {first:.4f} in the first round, {last:.4f} in the last, {best:.4f} at best (`history.csv`, `convergence.png`) |
| learning rate at the end | {rate:.1e} |{k}
| `components.npz` | principal components of its blocks, measured on {n_heard} of these recordings |

```python
from began.encoder import load_frozen_encoder

encoder = load_frozen_encoder("encoder.keras")  # or keras.models.load_model("encoder.keras"): stock layers only
```

**Limits.** {limits} It sees one second at a time and no phase. It was never meant to identify speakers, and nothing \
prevents that.

**Licence.** {licence}
"""
OF_LIBRISPEECH = {
    "speech": "; read English",
    "limits": """It has heard read English audio books alone: no acted or spontaneous emotion, no noise, no telephone, few
accents.""",
    "licence": "The weights: MIT, like the code. LibriSpeech: CC BY 4.0 (Panayotov et al. 2015).",
}
OF_OTHER_SPEECH = {
    "speech": "",
    "limits": "It has heard these recordings alone.",
    "licence": "The weights: as the recordings allow. The code: MIT.",
}


def write_model_card(folder: Path) -> Path:
    """Writes README.md from the config.json, history.csv and encoder.keras in a pre-training's folder; returns its path.

    Raises:
        InputError: one of these is missing or damaged.
    """
    config, history = read_json(folder / "config.json"), read_table(folder / "history.csv")
    encoder = folder / "encoder.keras"
    training = read_attached_json(encoder, "pretraining")
    history = history[history["step"] <= training["steps"]]
    last, adversarial = history.iloc[-1], training["adversarial"]  # without a generator, gamma, k and M_global mean nothing
    measure = history["convergence_measure" if adversarial else "reconstruction_loss"]
    values = {
        "corpus": escape(config.get("corpus", "LibriSpeech")),  # named after the user's folder or CSV file
        **(OF_OTHER_SPEECH if "corpus" in config else OF_LIBRISPEECH),
        "name": folder.name,
        "model": "a BEGAN" if adversarial else "a BEGAN's autoencoder, without a generator,",
        "megabytes": encoder.stat().st_size / 1e6,
        "n_weights": load_network(encoder).count_params(),
        "sha256": sha256_of(encoder),
        "n_utterances": config["n_utterances"],
        "synthetic": " (synthetic speech in its layout)" if config.get("synthetic") else "",
        "magnitude": read_attached_json(encoder, "spectrogram")["magnitude"],
        "n_heard": min(N_RECORDINGS, config["n_utterances"]),
        "unfinished": "" if training["epochs_done"] >= training["epochs"] else ": **unfinished**, the training goes on",
        "measure": "M_global" if adversarial else "L(x)",
        "balance": f"gamma {training['gamma']}, lambda_k {training['lambda_k']}, " if adversarial else "",
        "noise": f", {training['noise']} noise" if adversarial else "",
        "precision": f", {training['precision']}" if "precision" in training else "",
        "k": f"\n| k at the end | {last['k']:.3f} |" if adversarial else "",
    }
    scores = {"first": measure.iloc[0], "last": measure.iloc[-1], "best": measure.min(), "rate": last["learning_rate"]}
    write_text(folder / "README.md", CARD.format(**{**training, **values, **scores}))
    return folder / "README.md"
