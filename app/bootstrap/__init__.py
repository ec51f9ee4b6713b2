"""Composition: settings in, a running application out."""
