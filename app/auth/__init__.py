"""From a credential to a Principal, or a refusal."""
