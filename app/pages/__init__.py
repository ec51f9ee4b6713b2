"""What browsers load: the client, the widget, the demo page and the operator's console."""
