"""Many images: the plan, the work on one image, and two engines that work through a plan."""
