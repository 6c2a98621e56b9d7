"""PyTorch, eager or compiled, its images channel by channel or pixel by pixel.

Written the way its users write it fast: one module per network, the fused Adam (faster here than the default and the
foreach one), labels made once, fakes under no_grad, the discriminator's parameters without gradient while the
generator trains, and no `.item()`. Compiled, the passes up to the losses go through torch.compile, whose backward
follows, and Adam stays the fused one: faster here than compiling the modules, the optimiser or the whole step. Shapes
are compiled in, also where a process trains a second recipe, for which PyTorch would keep them open by default. With
channels last, weights and images lie in that order in memory, and PyTorch's convolutions keep to it.
"""

import torch
from torch import nn

from benchmarks.workers.serve import serve


class Network(nn.Sequential):
    """Modules in order, those of kind `Join` with the condition, where there is one."""

    def forward(self, x, *condition):
        for module in self:
            x = module(x, *condition) if isinstance(module, Join) else module(x)
        return x


class Join(nn.Sequential):
    """What its modules make of the condition, and x behind it."""

    def forward(self, x, condition):
        return torch.cat([super().forward(condition), x], 1)


class Skip(nn.Sequential):
    """What its modules make of x, and x behind it."""

    def forward(self, x):
        return torch.cat([super().forward(x), x], 1)


class OneHot(nn.Module):
    """Class numbers (rows,) as rows of zeros and a one."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, x):
        return nn.functional.one_hot(x, self.count).float()


def network(layers, shapes):
    """The layers of a job as a module, but for a closing Sigmoid: the loss takes logits."""
    return Network(*modules(layers, shapes))


def modules(layers, shapes):
    named = zip(layers, shapes[:-1], strict=True)
    return [module(kind, s, shape) for (kind, s), shape in named if kind != "Sigmoid"]


def module(kind, s, shape):
    """A layer of settings `s` on rows of this shape."""
    channels = shape[0]
    if kind in ("Join", "Skip"):
        return {"Join": Join, "Skip": Skip}[kind](*modules(s["layers"], s["shapes"]))
    if kind == "Conv2D" and s["padding"] == "same" and s["strides"] == [1, 1]:
        return nn.Conv2d(channels, s["filters"], s["kernel_size"], padding="same")
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
        "OneHot": lambda: OneHot(s["count"]),
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
        self.loss, self.l1_weight = nn.BCEWithLogitsLoss(), vars(job).get("l1_weight", 0)
        self.noise, scores = job.shapes[0][0], job.shapes[1][-1]
        self.one, self.zero = torch.ones(job.rows, *scores), torch.zeros(job.rows, *scores)
        self.both, self.loss_of_both = torch.cat([self.one, self.zero]), self.loss
        self.matching = vars(job).get("matching_aware") == "yes"
        if self.matching:  # two means of as much weight, of which one is over twice as many rows
            shares = torch.cat([1.5 * self.one, 0.75 * self.one, 0.75 * self.one])
            self.both, self.loss_of_both = torch.cat([self.both, self.zero]), nn.BCEWithLogitsLoss(shares)
        self.passed = torch.ones(job.batch_size, *scores)
        self.images = None if job.images is None else torch.from_numpy(job.images)
        self.conditions = () if job.conditions is None else (condition(job.conditions),)
        if job.peer == "torch-channels-last":
            self.images = self.images.to(memory_format=order)
            self.conditions = [c.to(memory_format=order) for c in self.conditions]
        self.modes, self.rests = job.has("BatchNorm"), job.has("Dropout")
        if job.peer == "torch-compiled":
            for name in ("generate", "d_loss", "d_loss_both", "g_loss"):
                setattr(self, name, torch.compile(getattr(self, name), dynamic=False))

    def generate(self, noise, *c):
        return self.g(noise, *c)

    def d_loss(self, x, target, *c):
        return self.loss(self.d(x, *c), target)

    def d_loss_both(self, real, fake, *c):
        if self.matching:  # real rows once more, each under the condition of the next
            rows, given = [real, real, fake], [torch.cat([own, own.roll(-1, 0), own]) for own in c]
        else:
            rows, given = [real, fake], [torch.cat([own, own]) for own in c]
        return self.loss_of_both(self.d(torch.cat(rows), *given), self.both)

    def g_loss(self, noise, target, *c):
        fake = self.g(noise, *c)
        loss = self.loss(self.d(fake, *c), self.passed)
        return loss + self.l1_weight * nn.functional.l1_loss(fake, target) if self.l1_weight else loss

    def step(self, real, noise_d, noise_g, condition_d=None, condition_g=None, real_g=None):
        c, c_g = (() if own is None else (own,) for own in (condition_d, condition_g))
        if self.job.concatenated:
            learn(self.d_optimizer, self.d_loss_both(real, self.fakes(noise_d, *c), *c))
        else:
            learn(self.d_optimizer, self.d_loss(real, self.one, *c))
            learn(self.d_optimizer, self.d_loss(self.fakes(noise_d, *c), self.zero, *c))
        self.d.requires_grad_(False)
        if self.rests:  # a frozen dropout rests in numgan, and so here
            self.d.eval()
        learn(self.g_optimizer, self.g_loss(noise_g, real_g, *c_g))
        if self.rests:
            self.d.train()
        self.d.requires_grad_(True)

    def fakes(self, noise, *c):
        """Rows generated in inference mode; without batch norm there is no mode to switch."""
        if self.modes:
            self.g.eval()
        with torch.no_grad():
            fake = self.generate(noise, *c)
        if self.modes:
            self.g.train()
        return fake

    def run(self, n):
        job = self.job
        for _ in range(n):
            noise = torch.randn(job.rows, *self.noise), torch.randn(job.batch_size, *self.noise)
            if self.conditions:
                (real, c), (real_g, c_g) = self.pairs(job.rows), self.pairs(job.batch_size)
                self.step(real, *noise, c, c_g, real_g)
            else:
                self.step(self.real(), *noise)
        return n

    def real(self):
        if self.images is not None:
            return self.images[torch.randint(len(self.images), (self.job.rows,))]
        t = torch.randn(self.job.rows, 1)
        return torch.cat([t, t.sin()], 1)

    def pairs(self, rows):
        """(real rows, their conditions)."""
        index = torch.randint(len(self.images), (rows,))
        return self.images[index], self.conditions[0][index]

    def train(self, real, noise_d, noise_g, *conditional):
        """A step on a given batch, with ε where numgan and Keras add it."""
        hooks = [own.register_step_pre_hook(move_epsilon) for own in (self.g_optimizer, self.d_optimizer)]
        batch = [torch.from_numpy(a) for a in (real, noise_d, noise_g, *conditional)]
        batch[3:5] = map(condition, conditional[:2])
        self.step(*batch)
        for hook in hooks:
            hook.remove()
        for own in (self.g_optimizer, self.d_optimizer):
            own.param_groups[0]["eps"] = self.job.epsilon

    def weights(self):
        return [tensor.detach().numpy() for own in (self.g, self.d) for tensor in tensors(own)]


def condition(array):
    """Class numbers (rows, 1) as PyTorch takes them, (rows,); images as they are."""
    return torch.from_numpy(array) if array.ndim > 2 else torch.from_numpy(array[:, 0]).long()


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
        if isinstance(module, nn.Sequential):
            yield from tensors(module)
        elif isinstance(module, nn.Linear):
            yield from (module.weight.T, module.bias)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            yield from (module.weight, module.bias)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            yield from (module.weight, module.bias, module.running_mean, module.running_var)


if __name__ == "__main__":
    serve(Trainer)
