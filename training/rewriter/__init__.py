"""Train the rewriter: prepare pairs and fine-tune a LoRA adapter on them."""
