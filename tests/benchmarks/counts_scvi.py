"""The half of counts.py that needs scvi-tools: prints a line of JSON for each model."""

import json
import logging
import sys
import time
import warnings

import anndata
import numpy as np
import scvi
import torch

PLAIN = {"use_batch_norm": "none", "dropout_rate": 0.0}
MODELS = {
    "scvi-tools, nb, as it comes": ("nb", {}, {}),
    "scvi-tools, nb, no KL warm-up": ("nb", {}, {"n_epochs_kl_warmup": None}),
    "scvi-tools, nb, plain networks, no KL warm-up": ("nb", PLAIN, {"n_epochs_kl_warmup": None}),
    "scvi-tools, zinb, no KL warm-up": ("zinb", {}, {"n_epochs_kl_warmup": None}),
}
"""The likelihood, and arguments of the model and of its training plan."""


@torch.no_grad()
def scores(module, x, draws):
    """log((1/K) sum_k w_k) and KL of each cell; both are those that counts.py has for vae_tf."""
    module.eval()
    values, rates = [], []
    for part in torch.from_numpy(x).split(50):
        none = torch.zeros(len(part), 1)
        inferred = module.inference(part, batch_index=none)
        q, library = inferred["qz"], inferred["library"]
        z = q.sample((draws,))  # [K, B, D]
        many = [value.expand(draws, *value.shape).reshape(-1, 1) for value in (library, none)]
        p = module.generative(z.reshape(-1, z.shape[-1]), *many)["px"]
        log_p = p.log_prob(part.repeat(draws, 1)).sum(-1).reshape(draws, -1)
        prior = torch.distributions.Normal(0.0, 1.0)
        weights = log_p + prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)
        values.append(torch.logsumexp(weights.double(), 0) - np.log(draws))
        rates.append(torch.distributions.kl_divergence(q, prior).sum(-1))
    return torch.cat(values), torch.cat(rates)


def main():
    torch.set_num_threads(1)  # on a busy machine, two that wait for each other take longer
    arrays, options = np.load(sys.argv[1]), json.loads(sys.argv[2])
    cells = anndata.AnnData(arrays["train"])
    scvi.model.SCVI.setup_anndata(cells)
    for name, (likelihood, model_options, plan) in MODELS.items():
        scvi.settings.seed = options["seed"]
        model = scvi.model.SCVI(
            cells,
            n_hidden=options["width"],
            n_latent=options["latent_dim"],
            gene_likelihood=likelihood,
            **model_options,
        )
        start = time.perf_counter()
        model.train(
            max_epochs=options["epochs"],
            batch_size=options["batch_size"],
            train_size=1.0,
            accelerator="cpu",
            plan_kwargs={"lr": options["learning_rate"]} | plan,
            enable_progress_bar=False,
            logger=False,
            enable_checkpointing=False,
        )
        seconds = time.perf_counter() - start
        values, rates = scores(model.module, arrays["test"], options["draws"])
        row = {"model": name, "score": float(values.mean()), "rate": float(rates.mean()), "seconds": seconds}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    main()
