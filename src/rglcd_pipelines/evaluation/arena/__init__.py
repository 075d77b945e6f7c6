"""Pictures of two models side by side: a page that asks people which is better, and what they said."""
