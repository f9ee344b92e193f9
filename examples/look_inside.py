"""Draw networks, briefly train one on drawn digits, and show what it responds to: the images of docs/look_inside.md."""

import argparse
from pathlib import Path

import minidl
import minidl.functional as F
import zoo
from minidl import Tensor, data, optim, plot


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training images")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/look_inside"), help="folder for the images")
    args = parser.parse_args()
    args.output_dir.mkdir(parents=True, exist_ok=True)

    unet = zoo.unet(base_channels=8, depth=2, padded=True)
    (args.output_dir / "unet.svg").write_text(plot.network(unet, (1, 64, 64)), encoding="utf-8")
    resnet = zoo.resnet20()
    (args.output_dir / "resnet20.svg").write_text(plot.network(resnet, (3, 32, 32)), encoding="utf-8")

    minidl.manual_seed(0)
    model = zoo.simple_cnn()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    loader = data.DataLoader(data.load("digits"), batch_size=128, shuffle=True)
    for epoch in range(args.epochs):
        for images, labels in loader:
            loss = F.cross_entropy(model(Tensor(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.4f}")

    x, label = next(iter(data.DataLoader(data.load("digits", split="test"), batch_size=1)))
    print(f"the image shows a drawn digit {int(label[0])}")
    plot.filters(model).save(args.output_dir / "filters.png")
    plot.feature_maps(model, x, layer="blocks.0").save(args.output_dir / "maps.png")
    plot.grad_cam(model, x, layer="blocks.1").save(args.output_dir / "grad_cam.png")


if __name__ == "__main__":
    main()
