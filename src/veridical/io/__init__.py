"""Matter: bytes in, arrays out, and back. Files, pictures, labelled folders, model folders."""
