"""What a run leaves behind: configuration, tables, name lists, copies of images, published with report.json last."""
