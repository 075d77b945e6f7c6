"""From the scores of many models to tables, figures and one page that opens from disk."""
