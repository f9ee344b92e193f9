"""What the metrics of a report are called, and what they mean, in one sentence each."""

MEANING = {
    "accuracy": ("accuracy", "The share of predictions that are correct."),
    "balanced_accuracy": ("balanced accuracy", "The mean of the classes' recalls: no class counts more than another."),
    "top5_accuracy": ("top-5 accuracy", "The share of images whose true class is among the five most probable."),
    "mean_iou": ("mean IoU", "The pixels that are and are predicted as a class, divided by those that are or are "
                             "predicted as it; the mean of the classes."),
    "mean_dice": ("mean Dice", "Twice the pixels that are and are predicted as a class, divided by the sum of those "
                               "that are and those that are predicted as it; the mean of the classes."),
    "macro_precision": ("precision", "The share of the predictions of a class that are correct; the mean of the "
                                     "classes."),
    "macro_recall": ("recall", "The share of a class that is predicted as it; the mean of the classes."),
    "macro_f1": ("F1", "2 PR / (P + R), with precision P and recall R; the mean of the classes."),
    "roc_auc": ("ROC AUC", "The probability that a member of the second class has a higher score than one of the "
                           "first."),
    "loss": ("loss", "The mean of the loss that the model was trained with."),
    "log_loss": ("log loss", "The mean of the negative logarithm of the probability of the true class."),
    "brier": ("Brier score", "The mean squared distance of the predicted probabilities from the truth; 0 is best."),
    "expected_calibration_error": ("calibration error", "The mean difference between confidence and accuracy in 15 "
                                   "bins of confidence (Guo et al., 2017)."),
}
PLAIN = ("loss", "log_loss", "brier", "roc_auc")                     # not written in percent


def shown(key: str, value: float) -> str:
    """A metric as text."""
    return "-" if value != value else f"{value:.4f}" if key in PLAIN else f"{value:.2%}"
