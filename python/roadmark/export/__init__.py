"""From a checkpoint to a folder that runs anywhere."""
