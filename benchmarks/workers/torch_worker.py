"""PyTorch, eager or compiled, its images channel by channel or pixel by pixel.

Written the way its users write it fast: one module per network, the fused Adam (faster here than the default and the
foreach one), labels made once, fakes under no_grad, the discriminator's parameters without gradient while the
generator trains, and no `.item()`. Compiled, the passes up to the losses go through torch.compile, whose backward
follows, and Adam stays the fused one: faster here than compiling the modules, the optimiser or the whole step. With
channels last, weights and images lie in that order in memory, and PyTorch's convolutions keep to it.
"""

import torch
from torch import nn

from benchmarks.workers.serve import serve


def network(layers, shapes):
    """The layers of a job as a module, but for a closing Sigmoid: the loss takes logits."""
    named = zip(layers, shapes[:-1], strict=True)
    return nn.Sequential(*(module(kind, s, shape) for (kind, s), shape in named if kind != "Sigmoid"))


def module(kind, s, shape):
    """A layer of settings `s` on rows of this shape."""
    channels = shape[0]
    if kind in ("Conv2D", "Conv2DTranspose"):
        over = [size - stride for size, stride in zip(s["kernel_size"], s["strides"], strict=True)]
        if s["padding"] != "same" or any(n < 0 or n % 2 for n in over):
            raise ValueError("a convolution whose padding PyTorch cannot make alike on both sides")
        convolution = nn.Conv2d if kind == "Conv2D" else nn.ConvTranspose2d
        return convolution(channels, s["filters"], s["kernel_size"], s["strides"], [n // 2 for n in over])
    if kind == "BatchNorm":
        norm = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
        return norm(channels, s["epsilon"], 1 - s["momentum"])
    return {
        "Dense": lambda: nn.Linear(channels, s["units"]),
        "ReLU": nn.ReLU,
        "LeakyReLU": lambda: nn.LeakyReLU(s["slope"]),
        "Tanh": nn.Tanh,
        "Dropout": lambda: nn.Dropout(s["rate"]),
        "Reshape": lambda: nn.Unflatten(1, s["shape"]),
        "Flatten": nn.Flatten,
    }[kind]()


class Trainer:
    def __init__(self, job):
        self.versions = {"torch": torch.__version__}
        torch.set_num_threads(job.threads)
        self.job = job
        order = torch.channels_last if job.peer == "torch-channels-last" else torch.contiguous_format
        self.g, self.d = (network(*own).to(memory_format=order) for own in zip(job.layers, job.shapes, strict=True))
        for own, arrays in zip((self.g, self.d), job.weights, strict=True):
            with torch.no_grad():
                for tensor, array in zip(tensors(own), arrays, strict=True):
                    tensor.copy_(torch.from_numpy(array))
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(own.parameters(), job.learning_rate, (job.beta1, job.beta2), job.epsilon, fused=True)
            for own in (self.g, self.d)
        )
        self.loss = nn.BCEWithLogitsLoss()
        self.one, self.zero = torch.ones(job.rows, 1), torch.zeros(job.rows, 1)
        self.both = torch.cat([self.one, self.zero])
        self.passed = torch.ones(job.batch_size, 1)
        self.images = None if job.images is None else torch.from_numpy(job.images)
        if job.peer == "torch-channels-last":
            self.images = self.images.to(memory_format=order)
        self.modes, self.rests = job.has("BatchNorm"), job.has("Dropout")
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
        if self.rests:  # a frozen dropout rests in numgan, and so here
            self.d.eval()
        learn(self.g_optimizer, self.g_loss(noise_g))
        if self.rests:
            self.d.train()
        self.d.requires_grad_(True)

    def fakes(self, noise):
        """Rows generated in inference mode; without batch norm there is no mode to switch."""
        if self.modes:
            self.g.eval()
        with torch.no_grad():
            fake = self.generate(noise)
        if self.modes:
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
        """A step on a given batch, with ε where numgan and Keras add it."""
        hooks = [own.register_step_pre_hook(move_epsilon) for own in (self.g_optimizer, self.d_optimizer)]
        self.step(*map(torch.from_numpy, batch))
        for hook in hooks:
            hook.remove()
        for own in (self.g_optimizer, self.d_optimizer):
            own.param_groups[0]["eps"] = self.job.epsilon

    def weights(self):
        return [tensor.detach().numpy() for own in (self.g, self.d) for tensor in tensors(own)]


def learn(optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def move_epsilon(optimizer, *_):
    """PyTorch's Adam adds ε to √v̂, numgan's and Keras's to √v = √(1 − β₂ᵗ)·√v̂. That matters for the check of a few
    first steps, and is the same work.
    """
    (group,) = optimizer.param_groups
    steps = 1 + max((float(state["step"]) for state in optimizer.state.values()), default=0)
    group["eps"] = optimizer.defaults["eps"] / (1 - group["betas"][1] ** steps) ** 0.5


def tensors(own):
    """Views of all parameters and statistics, in the order and orientation of the job."""
    for module in own:
        if isinstance(module, nn.Linear):
            yield from (module.weight.T, module.bias)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            yield from (module.weight, module.bias)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            yield from (module.weight, module.bias, module.running_mean, module.running_var)


if __name__ == "__main__":
    serve(Trainer)
