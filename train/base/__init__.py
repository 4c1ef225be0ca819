"""Make the embedded base model ``builtin:tiny`` from phantoms alone.

    python -m train.base WORK      images → autoencoder → denoiser → a diffusers pipeline folder

Resumable (the same command continues) and deterministic for a given number of threads. The hernia
never occurs in its images or its texts, so that fine-tuning has something real to teach.
"""
