"""PyTorch's critic step, its gradient penalty as its users write it: by differentiating its own backward pass."""

import torch

from benchmarks.workers.serve import serve
from benchmarks.workers.torch_worker import Trainer, learn


class Critic(Trainer):
    """Steps of the Wasserstein critic, on real and generated rows as one batch."""

    def __init__(self, job):
        if not job.concatenated:
            raise ValueError("a critic that learns from real and generated rows one after the other")
        super().__init__(job)
        self.steps, self.batch = 0, [torch.from_numpy(array) for array in job.batches[0]]

    def step(self, real, noise, mix):
        fake = self.fakes(noise)
        on_real, on_fake = self.d(torch.cat([real, fake])).split(len(real))
        loss = on_fake.mean() - on_real.mean()
        if self.job.penalty != "none" and self.steps % self.job.penalty_every == 0:
            loss = loss + self.job.penalty_every * self.penalty(real, fake, mix)
        self.steps += 1
        learn(self.d_optimizer, loss)

    def penalty(self, real, fake, mix):
        between = self.job.penalty == "wgan-gp"
        points = torch.lerp(fake, real, mix.view(-1, *[1] * (real.ndim - 1))) if between else real.clone()
        points.requires_grad_()
        if self.rests:  # dropout rests under numgan's penalty, and so here
            self.d.eval()
        (gradient,) = torch.autograd.grad(self.d(points).sum(), points, create_graph=True)
        if self.rests:
            self.d.train()
        gradient, weight = gradient.flatten(1), self.job.penalty_weight
        if between:
            return weight * (gradient.norm(dim=1) - 1).square().mean()
        return weight / 2 * gradient.square().sum(dim=1).mean()

    def run(self, n):
        """On one batch, in whole rounds of a lazy penalty."""
        n = -(-n // self.job.penalty_every) * self.job.penalty_every
        for _ in range(n):
            self.step(*self.batch)
        return n


if __name__ == "__main__":
    serve(Critic)
