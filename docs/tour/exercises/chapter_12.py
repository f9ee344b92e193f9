"""Exercises of chapter 12, shipping. `python -m pytest -n 0 docs/tour/exercises/test_chapter_12.py` tests them."""


def leaks(train, test):
    """The images of one folder whose pixels are also in another one: sorted pairs (path in train, path in test).

    train, test: folders (Path) with images at any depth. Paths are relative to them, as strings with "/". Two images
    are equal if they have the same size and the same pixels in RGB, however the files are packed and called. Files that
    are no images are passed over (`minidl.io.image.read_image` raises ImageError for them). Read each file once.
    """
    raise NotImplementedError("exercise 12.1: a dictionary from pixels to paths")


def prepared(image, size, mean, std):
    """A Pillow image of any size and mode as a network takes it: float32 (3, size, size).

    It is converted to RGB. The shorter side becomes `size` pixels, bilinearly, the longer one in proportion (rounded);
    then the centre is cropped; of an odd number of pixels, one more is dropped on the right or below. Pixels from 0 to
    1 are normalized by the mean and deviation of each channel.
    """
    raise NotImplementedError("exercise 12.2: convert, resize, crop, transpose, normalize")


def predictions(url, files, attempts=5, sleep=None):
    """Ask a server for the most probable class of each file: {file: (class, probability), or None if it is no image}.

    Sends the bytes of each file (Path) by POST to url + "v1/predict?top=1"; the answer is that of `minidl serve`. A
    file that the server refuses with status 400 gets None. After status 503 the client waits as many seconds as the
    header Retry-After says, by sleep(seconds) (default: time.sleep), and asks again: `attempts` times in all for a
    file, and then raises TimeoutError, which names the file. Any other status is raised as it comes.
    """
    raise NotImplementedError("exercise 12.3: ask for one file after the other, and come back when told to")
