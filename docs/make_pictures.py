"""Make docs/pictures/ anew from the demo's report: python docs/make_pictures.py FOLDER (which make demo names)."""

import sys
from pathlib import Path

import pypdfium2
from PIL import Image

WIDTH_PX = 900
COLORS = 200  # a page of text and few colours is a third as large so
PICTURES = Path(__file__).parent / "pictures"


def main(run: Path) -> None:
    """Draw the report's first page, the comparison of distances, and a map."""
    PICTURES.mkdir(exist_ok=True)
    pdf = pypdfium2.PdfDocument(run / "report.pdf")
    save(pdf[0].render(scale=2).to_pil(), "report-first-page.png")
    for source, name in {
        "distance_distr_after.png": "report-distances.png",
        "coverage.png": "report-coverage.png",
        "scatter_umap_k_15.png": "report-map.png",
    }.items():
        with Image.open(run / "plots" / source) as plot:
            save(plot.convert("RGB"), name)


def save(picture: Image.Image, name: str) -> None:
    """Write a small PNG."""
    picture = picture.resize((WIDTH_PX, round(WIDTH_PX * picture.height / picture.width)), Image.Resampling.LANCZOS)
    picture.quantize(COLORS).save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
