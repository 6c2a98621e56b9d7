"""PyTorch, eager or compiled.

Written the way its users write it fast: one module per network, the fused Adam (faster here than the default and the
foreach one), labels made once, fakes under no_grad, the discriminator's parameters without gradient while the
generator trains, and no `.item()`. Compiled, the passes up to the losses go through torch.compile, whose backward
follows, and Adam stays the fused one: faster here than compiling the modules, the optimiser or the whole step.
"""

import torch
from torch import nn

from benchmarks.workers.serve import serve


def networks(job):
    """The recipe's (generator, discriminator), the discriminator up to its logit."""
    if job.recipe == "sine":
        return (nn.Sequential(nn.Linear(job.latent_dim, job.hidden), nn.ReLU(), nn.Linear(job.hidden, 2)),
                nn.Sequential(nn.Linear(2, job.hidden), nn.ReLU(), nn.Linear(job.hidden, 1)))  # fmt: skip

    def hidden(n_in, batch_norm):
        for n_out in job.hidden:
            yield nn.Linear(n_in, n_out)
            yield nn.LeakyReLU(job.slope)
            if batch_norm:
                yield nn.BatchNorm1d(n_out, eps=1e-3, momentum=1 - job.momentum)
            n_in = n_out

    return (nn.Sequential(*hidden(job.latent_dim, True), nn.Linear(job.hidden[-1], 784), nn.Tanh()),
            nn.Sequential(*hidden(784, False), nn.Linear(job.hidden[-1], 1)))  # fmt: skip


class Trainer:
    def __init__(self, job):
        self.versions = {"torch": torch.__version__}
        torch.set_num_threads(job.threads)
        self.job = job
        self.g, self.d = networks(job)
        for network, arrays in zip((self.g, self.d), job.weights, strict=True):
            arrays = iter(arrays)
            with torch.no_grad():
                for tensor in tensors(network):
                    tensor.copy_(torch.from_numpy(next(arrays)))
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), job.learning_rate, (job.beta1, job.beta2), job.epsilon, fused=True)
            for network in (self.g, self.d)
        )
        self.loss = nn.BCEWithLogitsLoss()
        self.one, self.zero = torch.ones(job.rows, 1), torch.zeros(job.rows, 1)
        self.both = torch.cat([self.one, self.zero])
        self.passed = torch.ones(job.batch_size, 1)
        self.images = None if job.images is None else torch.from_numpy(job.images)
        if job.peer == "torch-compiled":
            for name in ("generate", "d_loss", "d_loss_both", "g_loss"):
                setattr(self, name, torch.compile(getattr(self, name)))

    def generate(self, noise):
        return self.g(noise)

    def d_loss(self, x, target):
        return self.loss(self.d(x), target)

    def d_loss_both(self, real, fake):
        return self.loss(self.d(torch.cat([real, fake])), self.both)

    def g_loss(self, noise):
        return self.loss(self.d(self.g(noise)), self.passed)

    def step(self, real, noise_d, noise_g):
        if self.job.concatenated:
            learn(self.d_optimizer, self.d_loss_both(real, self.fakes(noise_d)))
        else:
            learn(self.d_optimizer, self.d_loss(real, self.one))
            learn(self.d_optimizer, self.d_loss(self.fakes(noise_d), self.zero))
        self.d.requires_grad_(False)
        learn(self.g_optimizer, self.g_loss(noise_g))
        self.d.requires_grad_(True)

    def fakes(self, noise):
        """Rows generated in inference mode; without batch norm there is no mode to switch."""
        if self.job.recipe == "mnist":
            self.g.eval()
        with torch.no_grad():
            fake = self.generate(noise)
        if self.job.recipe == "mnist":
            self.g.train()
        return fake

    def run(self, n):
        job = self.job
        for _ in range(n):
            noise = torch.randn(job.rows, job.latent_dim), torch.randn(job.batch_size, job.latent_dim)
            self.step(self.real(), *noise)
        return n

    def real(self):
        if self.images is not None:
            return self.images[torch.randint(len(self.images), (self.job.rows,))]
        t = torch.randn(self.job.rows, 1)
        return torch.cat([t, t.sin()], 1)

    def train(self, *batch):
        self.step(*map(torch.from_numpy, batch))

    def weights(self):
        return [tensor.detach().numpy() for network in (self.g, self.d) for tensor in tensors(network)]


def learn(optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def tensors(network):
    """Views of all parameters and statistics, in the order and orientation of the job."""
    for module in network:
        if isinstance(module, nn.Linear):
            yield from (module.weight.T, module.bias)
        elif isinstance(module, nn.BatchNorm1d):
            yield from (module.weight, module.bias, module.running_mean, module.running_var)


if __name__ == "__main__":
    serve(Trainer)
