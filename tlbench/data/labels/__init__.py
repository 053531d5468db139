"""From the labels that a reader returns to class indices, regression targets, and the columns of several tasks."""
