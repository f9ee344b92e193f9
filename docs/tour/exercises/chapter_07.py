"""Exercises of chapter 7: a search for what does not learn, early stopping, and a search for wrong labels."""


def not_learning(model, images, labels):
    """The names of the parameters that cross entropy on this batch gives no gradient, or one that is 0 everywhere.

    images float32 (n, ...), labels int64 (n,)  ->  a list of dotted names, in the order of `model.named_parameters()`

    Afterwards every parameter's gradient is None again.
    """
    raise NotImplementedError("exercise 7.1: one backward, then look at each gradient")


def train_until(model, optimizer, loader, validation, patience, most_epochs):
    """Train with cross entropy until the validation loss has not improved for `patience` epochs.

    loader      batches (images, labels) for one epoch each time it is iterated over
    validation  a pair of arrays (images, labels)

    Returns the list of the validation losses, one for each epoch that was trained. The model ends with the weights of
    the epoch with the smallest one, and in eval mode. There are at most `most_epochs` epochs. Train in training mode,
    validate in eval mode, and record nothing on the tape while validating.
    """
    raise NotImplementedError("exercise 7.2: the loop by hand, with a memory of the best epoch")


def suspects(images, labels, count):
    """The indices of the `count` images whose labels are the least probable, the least probable first.

    images float32 (N, 1, 28, 28), labels int64 (N,), of which a few are wrong  ->  int array (count,)

    Train a network of your choice on all of them. Stop early enough: with many epochs it learns the wrong labels by
    heart, and is surprised by none of them.
    """
    raise NotImplementedError("exercise 7.3: train, then sort the images by the loss of each")
