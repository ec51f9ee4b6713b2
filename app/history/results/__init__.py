"""Result webhooks: composing, storing until delivered, signing, delivering."""
