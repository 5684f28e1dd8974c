"""The figures to reach and the best ones in print, in nats per test row of the same splits."""

BINARY_LEAST = {
    "nltcs": -6.025, "msnbc": -6.05, "plants": -12.55, "baudio": -39.65, "jester": -52.20,
    "dna": -79.7, "accidents": -26.55, "tretail": -10.83, "book": -33.5, "bbc": -246.0,
}  # fmt: skip
BINARY_PUBLISHED = {
    "nltcs": -5.99, "msnbc": -6.03, "plants": -12.26, "baudio": -39.02, "jester": -51.93,
    "dna": -78.9, "accidents": -26.32, "tretail": -10.82, "book": -33.5, "bbc": -237.4,
}  # fmt: skip
CONTINUOUS_LEAST = {
    "california_housing": 0.15, "magic": -4.15, "elevators": -9.55, "compactiv": 39.6,
    "htru2": 5.85, "shuttle": 12.6, "bsds": -7.2,
}  # fmt: skip
FLOW = {"magic": -4.14}  # neural spline flow, 130 s of CPU

BINARY_SECONDS = 120
CONTINUOUS_SECONDS = 60
SEARCH_SHARE = 1 / 5  # our fit / GaussianMixture's whole search
GAUSSIAN_SPEED = 5  # our rows per second / GaussianMixture's, equal number of Gaussians
KERNEL_SPEED = 100  # our rows per second / KernelDensity's
SCALE_SECONDS = 180
SCALE_BYTES = 2e9
FOREST_SECONDS = 300  # arfpy is stopped after this

FIT_TO_LIGHTGBM = 10  # our fit / LightGBM's, at most, on tables of more than LARGE rows
LARGE_TRAIN_ROWS = 10_000
CLASSIFIER_SECONDS = 60
FOREST_SPEED = 5  # our rows per second / a random forest's of 300 trees
GROW_SPEED = 5  # scikit-learn's seconds to grow a forest / ours
DESCENT_SPEED = 10  # our forest's rows per second / scikit-learn's
CALIBRATED_ROWS = 5_000  # calibration is judged on tables at least as long

AUGMENT_TO_OPENCV = {  # our images per CPU-second / those of a loop of OpenCV's direct calls
    "224x224": {
        "hflip": 3, "rotate": 2, "random_resized_crop": 1.5, "noise": 5, "normalise": 2,
        "pipeline": 3,
    },
    "32x32": {"pipeline": 4},
}  # fmt: skip
AUGMENT_PIPELINE_TO_ALBUMENTATIONS = 5
AUGMENT_TO_MEMCPY = 1.5  # our seconds / a copy's, of flips upside down and crops
AUGMENT_THREADS = 1.7  # two threads / one
AUGMENT_EXACT_SHARE = 0.999
AUGMENT_LARGEST_ERROR = 0.502  # grey levels
AUGMENT_SIGMA_ERROR = 0.005
