"""The methods, one module for each paper or family; `righttime.arrangement.registry` lists them."""
