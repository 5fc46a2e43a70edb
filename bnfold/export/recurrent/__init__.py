"""Loops that are recurrent layers: what one step computes is read as algebra, and compared with ONNX' cells.

`affine` reads what goes into a gate, `cells` what a step does with its gates, `steps` what the loop does with its
steps, and `layers` puts the nodes in the loop's place. Wherever something does not fit, the loop stays a loop.
"""
