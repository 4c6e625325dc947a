"""What is known of a network: where its norms are, how they are replaced, how it is refitted and measured."""
