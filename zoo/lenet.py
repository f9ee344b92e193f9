"""LeNet-5, the network that read handwritten digits on cheques.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE
86 (1998), section II-B. Its idea: small filters that look everywhere alike, and pooling between them, so that a digit
is recognized wherever it stands. As is usual today, this one has ReLU for the tanh, max pooling for the trainable
averages, a plain linear layer for the radial basis functions, and connects every channel with every filter.

           layer        output        parameters
    x                    1 x 28 x 28
    conv1  5x5, pad 2    6 x 28 x 28         156
    pool   2x2           6 x 14 x 14
    conv2  5x5          16 x 10 x 10       2,416
    pool   2x2          16 x  5 x  5
    fc1                 120               48,120
    fc2                  84               10,164
    fc3                  10                  850
                                          61,706
"""

import minidl.functional as F
import minidl.nn as nn


class LeNet5(nn.Module):
    """x (N, in_channels, 28, 28)  ->  logits (N, num_classes)"""

    def __init__(self, in_channels=1, num_classes=10):
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)         # the paper pads its images to 32 x 32 instead
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x):
        x = self.pool(self.conv1(x, relu=True))
        x = self.pool(self.conv2(x, relu=True))
        x = F.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


@nn.architecture
def lenet5(in_channels=1, num_classes=10):
    """LeNet-5 for images of 28 x 28 pixels: 61,706 parameters with one channel and ten classes."""
    return LeNet5(in_channels, num_classes)
