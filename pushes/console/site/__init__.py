"""What all desks share: pages, forms, lists, filters, marks and the theme."""
