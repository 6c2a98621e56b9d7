"""What one does with a GAN: recipes, runs, pictures, measures."""
