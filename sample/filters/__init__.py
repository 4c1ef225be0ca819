"""Which generated images are rejected, and why: one filter a file.

base           what a filter is
limits         limits from real images, so that honest images pass at a known rate
references     what of the real images the filters need, read once
calibration    the limits and references of a dataset, made once and kept
judge          all filters on one image
near_duplicates, settle   the one filter that compares images with each other
account, sheet            what was rejected, in numbers and in pictures
"""
