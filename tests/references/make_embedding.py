"""Make the reference that tests/nn/test_embedding.py compares numgan with: a convolution over the vectors of words, one
pass forward and back by PyTorch in float64, and the one-hot columns of the same indices.

Run by hand:  python tests/references/make_embedding.py     (needs torch; the tests need numgan alone)

embedding_pytorch.npz:
    x         indices (rows, words) of 0 … 8; the first word of a row is its last one, too, and two of the nine are in
              no row
    state.…   the parameters, under the names of PyTorch's state_dict; float16, for size: as float64 the same numbers
    y, dy     output, and ∂L/∂y
    grad.…    ∂L/∂parameter
    one_hot   (rows, words, 9)
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
COUNT, FEATURES, WORDS, ROWS = 9, 5, 6, 7
torch.set_default_dtype(torch.float64)


class Words(nn.Embedding):
    """nn.Embedding, whose output (rows, words, features) becomes an image one pixel high, as numgan's is."""

    def forward(self, x):
        return super().forward(x).transpose(1, 2)[:, :, None]


def main():
    rng = np.random.default_rng(9)
    x = rng.choice([0, 1, 2, 4, 5, 7, 8], (ROWS, WORDS))
    x[:, -1] = x[:, 0]
    network = nn.Sequential(Words(COUNT, FEATURES), nn.Conv2d(FEATURES, 4, (1, 3)), nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.6, parameter.shape).astype(np.float16)))
    dy = rng.normal(0, 1, (ROWS, 2))
    y = network(torch.from_numpy(x))
    y.backward(torch.from_numpy(dy))
    arrays = {"x": x.astype(np.uint8), "y": y.detach().numpy(), "dy": dy, "versions": f"torch {torch.__version__}"}
    arrays["one_hot"] = nn.functional.one_hot(torch.from_numpy(x), COUNT).numpy().astype(np.uint8)
    for name, parameter in network.named_parameters():
        arrays[f"state.{name}"] = parameter.detach().numpy().astype(np.float16)
        arrays[f"grad.{name}"] = parameter.grad.numpy()
    np.savez_compressed(HERE / "embedding_pytorch.npz", **arrays)
    print(f"embedding_pytorch.npz: {(HERE / 'embedding_pytorch.npz').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
