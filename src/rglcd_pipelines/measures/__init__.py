"""What is measured on pictures alone, with nothing learnt.

All take float images [B, 3, H, W] in [0, 1] at their own size, and give one number a picture.
"""
