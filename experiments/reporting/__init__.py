"""From run folders to what is read: summary -> tables (in Markdown) -> readme, and all of it written by render.

``error_analysis`` and ``encoders`` prepare what the notebooks show beside that; ``model_card`` describes an encoder.
"""
