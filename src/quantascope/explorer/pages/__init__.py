"""The pages: each gives its data as plain values, which one template and its JSON twin show."""
